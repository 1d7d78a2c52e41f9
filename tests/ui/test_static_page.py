"""A page made of an executed notebook shows the workbench as a picture, without a kernel."""

import re

import nbformat
from nbconvert import HTMLExporter

from workbench.ui.panels.mask import MaskPanel

ORDER = ["text/html", "image/png", "text/plain"]
"""As in docs/howto/reports.md."""


def test_page_shows_picture_or_summary_instead_of_widgets(session):
    bundle = MaskPanel(session)._repr_mimebundle_()
    alone = {name: value for name, value in bundle.items() if name != "image/png"}
    cells = [
        nbformat.v4.new_code_cell(
            "bench.show();", outputs=[nbformat.v4.new_output("display_data", data=data)]
        )
        for data in (bundle, alone)
    ]
    exporter = HTMLExporter(template_name="classic")
    exporter.display_data_priority = ORDER
    page, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    assert len(re.findall(r'<img[^>]*src="data:image/png;base64,', page)) == 1
    assert "widget-view" not in page
    assert "maxproj_min 300" in page
