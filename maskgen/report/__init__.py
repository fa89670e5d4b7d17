"""A report on datasets and their samples: one HTML file that needs nothing else.

datasets --measure--> numbers --sections, charts--> figures --page--> HTML
"""

from maskgen.report.looking import Look
from maskgen.report.page import ReportError, make_report
from maskgen.report.request import Dataset, Request

__all__ = ["Dataset", "Look", "ReportError", "Request", "make_report"]
