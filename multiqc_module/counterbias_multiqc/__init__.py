"""MultiQC module of Counterbias: bias at read starts before and after correction, for each sample.

MultiQC finds it through its entry points; no configuration is needed. From the inside out:

- :mod:`~counterbias_multiqc.parser` turns JSON files into :mod:`~counterbias_multiqc.records`,
- :mod:`~counterbias_multiqc.samples` puts together all files of a sample, and
  :mod:`~counterbias_multiqc.sources` keeps results apart that are measured differently,
- :mod:`~counterbias_multiqc.checks` decides which samples need a look,
- :mod:`~counterbias_multiqc.view` and :mod:`~counterbias_multiqc.plots` serve all sections,
- :mod:`~counterbias_multiqc.sections` has one module per section of the report,
- :mod:`~counterbias_multiqc.module` finds the files and puts the sections in order.

Parser, records, samples and checks do not need MultiQC.
"""

#: Where the documentation stands; pyproject.toml has the same address.
DOCUMENTATION = "https://counterbias.readthedocs.io/en/stable/"
