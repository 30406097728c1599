"""One sample's bias: start sites → calibrated models → weights, corrected counts, quality report.

:mod:`.sample` holds the order of the stages. The model is chosen in :mod:`.choice` (``auto`` in
:mod:`.auto`), windows are drawn in :mod:`.drawing`, models fitted and judged in :mod:`.fitting`,
reads weighted in :mod:`.weighing`; the quality report is made in :mod:`.report`. Without a bias
model, :mod:`.lengths_alone` measures lengths only.
"""
