"""The container's parts: how each context and each server is put together."""
