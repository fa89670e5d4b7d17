"""Looking inside datasets: documents with colours, searches, and where everything came from; a pager for all of it."""
