import jinja2
import pytest

from rapport.ray_jobs.reports.page import data_uri, interval, percent, render


def test_undefined_figures_are_dashes():
    assert (percent(None), interval(None)) == ("–", "–")
    assert (percent(0.66854), interval([0.6, 0.7123])) == ("66.9 %", "60.0 – 71.2 %")


def test_a_forgotten_value_raises_instead_of_leaving_a_hole():
    with pytest.raises(jinja2.UndefinedError):
        render("misclassified.html", title="x")


def test_data_uri_holds_the_bytes():
    assert data_uri(b"abc") == "data:image/png;base64,YWJj"
