"""`make bench`: an upgrade by the operator beside the same upgrade by Helm and by hand."""
