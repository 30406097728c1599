"""What is done with each batch of a file's records: decode, pair, assign, count."""

from __future__ import annotations

import time
from typing import Any

from numpy.typing import NDArray

from counterbias.alignments import AlignmentStream, Batch, decode_batch
from counterbias.options import CountingOptions
from counterbias.pipeline.counting.assignment import COUNT_FRACTION, Assigner
from counterbias.pipeline.counting.batch_work import BatchWork
from counterbias.pipeline.counting.fragments import FragmentBatch, RecordBytes
from counterbias.pipeline.counting.listeners import Listeners, Reporter
from counterbias.pipeline.counting.missing_mates import MissingMates
from counterbias.pipeline.counting.pairing import pair_by_name
from counterbias.pipeline.counting.starts import SiteCollector, count_fragments
from counterbias.pipeline.counting.tagged import tagged_batch
from counterbias.pipeline.counting.waiting_mates import WaitingMates
from counterbias.records import Annotation, SampleCounts


def _new_assigner(
    annotation: Annotation, stream: AlignmentStream, options: CountingOptions
) -> Assigner:
    """Return what assigns fragments, by what they overlap or by their tags."""
    if options.assigned is None:
        contigs = stream.header.contigs
        return Assigner(annotation.steps, len(annotation.features), contigs, options)
    from counterbias.pipeline.counting.assigned import TagAssigner  # others need not import it

    return TagAssigner(annotation, stream, options)


def _records_of(batch: Batch) -> RecordBytes:
    """Return the records of a batch whose fragments refer to no others."""
    return RecordBytes(batch.data[: batch.end], batch.offsets[: batch.count], batch.count)


class FileCounter:
    """Counts one file, batch by batch.

    Args:
        stream: the file, its header read.
        annotation: features and steps.
        options: how fragments are counted.
        want_sites: whether to keep the start sites of counted fragments.
        listeners: who is called meanwhile.
    """

    def __init__(
        self,
        stream: AlignmentStream,
        annotation: Annotation,
        options: CountingOptions,
        want_sites: bool,
        listeners: Listeners,
    ) -> None:
        self._stream = stream
        self._options = options
        self._want_sites = want_sites
        self._record_sink, self._batch_done = listeners.record_sink, listeners.batch_done
        self._primary_only = options.primary_only
        self._assigner = _new_assigner(annotation, stream, options)
        self._sites: SiteCollector | None = None
        self._fragments_done = 0
        self.reporter = Reporter(listeners)
        self._molecules = listeners.molecules
        self._missing_mates = MissingMates(stream, self.reporter)
        keep_records = self._record_sink is not None or self._molecules is not None
        self._waiting_mates = WaitingMates(stream, self._primary_only, keep_records, self.reporter)

    @property
    def _paired(self) -> bool:
        return bool(self._stream.paired)

    @property
    def _by_position(self) -> bool:
        return self._paired and self._options.order == "pos"

    def read(self, work: BatchWork) -> None:
        """Do everything with a batch that needs no other batch; may run in any thread."""
        batch, fragments = work.batch, work.fragments
        done, problem = decode_batch(
            batch, len(self._stream.header.contigs), self._paired, self._record_sink is not None
        )
        work.problem = (done, problem) if problem else None
        if problem:
            return
        work.make_room()
        fragments.pool, fragments.pooled = self._assigner.find_sets(
            batch, self._paired, fragments.pool
        )
        if self._by_position:
            return
        made, missing = pair_by_name(
            batch.data, batch.offsets, batch.rows, batch.count, self._paired, self._primary_only,
            fragments.table, work.missing, work.group, work.mate,
        )  # fmt: skip
        fragments.count, work.missing_count = int(made), int(missing)
        self._examine(fragments, _records_of(batch))

    def _examine(self, fragments: FragmentBatch, records: RecordBytes) -> None:
        """Decide the outcomes of fragments, and find their barcodes; may run in any thread."""
        self._assigner.classify(fragments)
        if self._molecules is not None:
            self._molecules.reader.find(fragments, records)

    def count(self, work: BatchWork) -> None:
        """Count a batch that was read; batches must come in order.

        Raises:
            InputError: the batch cannot be decoded, or htseq-count would stop at it.
        """
        batch = work.batch
        if work.problem is not None:
            raise self._stream.problem(batch, *work.problem)
        if not batch.count:
            return  # its bytes were only gathered
        if self._by_position:
            records = self._waiting_mates.pair(work)
            self._examine(work.fragments, records)
        else:
            records = _records_of(batch)
            self._missing_mates.add(work, self._fragments_done)
        self._count(work.fragments, records)

    def count_leftovers(self) -> None:
        """Count the records whose mates never came, and give the warnings that come last."""
        if self._by_position:
            for fragments, records in self._waiting_mates.leftovers():
                self._examine(fragments, records)
                self._count(fragments, records)
        else:
            self._missing_mates.summarise()
        for remark in self._assigner.remarks():
            self.reporter.warn(f"{self._stream.source.path}: {remark}")

    def _count(self, fragments: FragmentBatch, records: RecordBytes) -> None:
        """Add fragments to the counts and start sites; pass their records on."""
        self._assigner.accept(fragments, records, self._fragments_done, self._stream)
        if self._molecules is not None and fragments.bad_barcode is not None:
            place = self._place(fragments.bad_barcode[0])
            raise self._molecules.reader.problem(fragments, self._stream.source.path, place)
        self.reporter.begin(self._fragments_done + fragments.count, self._paired)
        if self._want_sites and self._sites is None:
            self._sites = self._new_sites()
        site_of = count_fragments(
            self._assigner,
            fragments,
            self._fragments_done,
            self._sites,
            want_rows=self._record_sink is not None,
        )
        self._fragments_done += fragments.count
        if self._molecules is not None:
            self._molecules.add(fragments, records, self._assigner)
        if self._record_sink is not None:
            if self._molecules is not None:
                self._molecules.hide_missing(fragments, site_of)
            self._record_sink(tagged_batch(fragments, records, self._assigner.index, site_of))
        if self._batch_done is not None:
            self._batch_done(self._fragments_done, self._paired, *self._stream.source.bytes_read())

    def _place(self, fragment: int) -> str:
        """Describe where in the file a fragment of the present batch is."""
        what = "read pair" if self._paired else "read"
        return f"{what} {self._fragments_done + fragment + 1}"

    @property
    def _fraction(self) -> bool:
        return self._assigner.nonunique == COUNT_FRACTION

    def _new_sites(self) -> SiteCollector:
        header = self._stream.header
        return SiteCollector(
            header.contigs,
            tuple(max(length, 0) for length in header.lengths),
            paired=self._paired,
            fraction=self._fraction,
            features=len(self._assigner.counts),
        )

    def result(self, path: str, began: float) -> SampleCounts:
        """Return the counts.

        Args:
            path: the file as the user named it.
            began: :func:`time.perf_counter` at the beginning.
        """
        sites = None
        if self._want_sites:
            sites = (self._sites or self._new_sites()).finish()
        assigner = self._assigner
        counts: NDArray[Any] = assigner.parts if self._fraction else assigner.counts
        return SampleCounts(
            path=path,
            paired=self._paired,
            fragments=self._fragments_done,
            counts=counts,
            touched=counts > 0 if self._fraction else None,
            classes=tuple(int(number) for number in assigner.classes),  # type: ignore[arg-type]
            sites=sites,
            seconds=time.perf_counter() - began,
        )
