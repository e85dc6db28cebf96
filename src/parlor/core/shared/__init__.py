"""What every context speaks: errors, actors, ids, events, work, handling."""
