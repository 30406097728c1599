"""Count one alignment file: move its batches of records through threads, in order.

Batches are inflated, decoded and, in name order, paired and assigned by whichever thread is free.
Finding the records, pairing by position and counting happen in the file's order. So the result,
down to the order of sums, does not depend on the number of threads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from counterbias.alignments import AlignmentStream, inflate, open_alignments
from counterbias.alignments.workers import Job, Workers
from counterbias.options import CountingOptions
from counterbias.pipeline.counting.batch_work import BatchWork
from counterbias.pipeline.counting.counter import FileCounter
from counterbias.pipeline.counting.listeners import NO_LISTENERS, Listeners
from counterbias.records import Annotation, SampleCounts


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How an alignment file is read.

    Args:
        reference: the genome's FASTA file, for CRAM.
        threads: threads to use, this one included. No result depends on them.
        libdeflate: whether to inflate with libdeflate where it is found; else with zlib.
    """

    reference: str | None = None
    threads: int = 1
    libdeflate: bool = True


def count_alignments(
    path: str,
    annotation: Annotation,
    options: CountingOptions,
    *,
    want_sites: bool = False,
    reading: ReadingOptions = ReadingOptions(),
    listeners: Listeners = NO_LISTENERS,
) -> SampleCounts:
    """Count the reads or read pairs of one alignment file for features.

    Args:
        path: BAM, SAM or CRAM file, ``-`` for stdin.
        annotation: features and steps, made for the strandedness of ``options``.
        options: htseq-count's options.
        want_sites: whether to keep the start sites of counted fragments.
        reading: reference, threads.
        listeners: who is called meanwhile.

    Raises:
        InputError: the file cannot be read, or htseq-count would stop at it.
    """
    began = time.perf_counter()
    stream = open_alignments(
        path,
        reference=reading.reference,
        by_name=options.order == "name",
        primary_only=options.primary_only,
        library=reading.libdeflate,
    )
    workers = Workers(reading.threads)
    try:
        if listeners.on_header:
            listeners.on_header(stream.header)
        counter = FileCounter(stream, annotation, options, want_sites, listeners)
        ahead = 1 if reading.threads == 1 else reading.threads + 2
        for work in _batches(stream, counter.read, workers, ahead):
            counter.count(work)
        counter.count_leftovers()
        for remark in stream.source.remarks():
            counter.reporter.warn(f"{stream.source.path}: {remark}")
        return counter.result(path, began)
    finally:
        workers.close()
        stream.source.close()


def _batches(
    stream: AlignmentStream, read: Callable[[BatchWork], None], workers: Workers, ahead: int
) -> Iterator[BatchWork]:
    """Yield all batches of a file in order, each inflated and passed to ``read``.

    Up to ``ahead`` batches are inflated, and as many read, before they are due. A batch's buffers
    are used again once the next batch is asked for.
    """
    inflating: deque[tuple[BatchWork, Job]] = deque()
    reading: deque[tuple[BatchWork, Job]] = deque()
    spare: list[BatchWork] = []
    more = True

    def next_read() -> BatchWork:
        work, job = reading.popleft()
        workers.result(job)
        return work

    def reuse(work: BatchWork) -> None:
        stream.release(work.batch)
        spare.append(work)

    while True:
        while more and len(inflating) < ahead:
            batch = stream.new_batch()
            more = stream.load(batch)
            if more:
                work = spare.pop() if spare else BatchWork(batch)
                work.batch = batch
                inflating.append((work, workers.submit(inflate, batch)))
        if not inflating:
            break
        work, job = inflating.popleft()
        workers.result(job)
        stream.walk(work.batch)
        reading.append((work, workers.submit(read, work)))
        while reading and (len(reading) >= ahead or reading[0][1].done.is_set()):
            work = next_read()
            yield work
            reuse(work)
    while reading:
        work = next_read()
        yield work
        reuse(work)
    last = stream.last_batch()
    if last is not None:
        work = BatchWork(last)
        read(work)
        yield work
