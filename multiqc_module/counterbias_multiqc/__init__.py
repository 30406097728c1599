"""MultiQC module of Counterbias: read-start bias before and after correction, sample by sample and model by model.

MultiQC finds it by its entry points; nothing has to be configured. :mod:`counterbias_multiqc.parser` reads files and knows nothing
of MultiQC, :mod:`counterbias_multiqc.samples` and :mod:`counterbias_multiqc.checks` judge what was read, ``sections`` draw it, and
:mod:`counterbias_multiqc.module` puts the sections in order.
"""
