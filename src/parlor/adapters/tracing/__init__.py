"""Traces: what goes on in a process, sent to a collector as OpenTelemetry has it."""
