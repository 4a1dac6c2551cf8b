"""What goes out of lsdx: tables for people who work with pandas."""
