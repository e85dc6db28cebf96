"""HTTP that Parlor itself sends out."""
