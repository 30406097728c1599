"""One sample's bias: start sites → calibrated models → weights, corrected counts, QC document.

:mod:`.sample` holds the order of the stages. The model is chosen in :mod:`.choice` (``auto`` in
:mod:`.auto`), windows are drawn in :mod:`.drawing`, models fitted and judged in :mod:`.fitting`,
reads weighted in :mod:`.weighing`; the QC document is made in :mod:`.report`.
"""
