"""What people type: the command line and its pages."""
