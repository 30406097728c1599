"""MultiQC module of Counterbias: bias at read starts before and after correction, for each sample.

MultiQC finds it through its entry points; no configuration is needed. From the inside out:

- :mod:`~counterbias_multiqc.parser` turns JSON files into :mod:`~counterbias_multiqc.records`,
- :mod:`~counterbias_multiqc.samples` puts together all files of a sample, and
  :mod:`~counterbias_multiqc.sources` keeps results apart that are measured differently,
- :mod:`~counterbias_multiqc.checks` decides which samples need a look, by
  :mod:`~counterbias_multiqc.thresholds`; :mod:`~counterbias_multiqc.problems` finds their causes,
- :mod:`~counterbias_multiqc.view` and :mod:`~counterbias_multiqc.plots` serve all sections,
- :mod:`~counterbias_multiqc.emphasis` decides which of many samples a plot brings out,
- :mod:`~counterbias_multiqc.sections` has one module per section of the report,
- :mod:`~counterbias_multiqc.naming` tells samples of the same name apart,
- :mod:`~counterbias_multiqc.reading` reads the files that MultiQC found,
- :mod:`~counterbias_multiqc.module` puts the sections in order.

Parser, records, samples, naming and checks do not need MultiQC.
"""

#: Where the documentation stands; pyproject.toml has the same address.
DOCUMENTATION = "https://counterbias.readthedocs.io/en/stable/"
