"""Where mail goes: a mail server, a folder, or nowhere."""
