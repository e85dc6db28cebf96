#!/bin/sh
# The image's entrypoint: becomes the command that follows, with a signing secret in its environment.
# Where none is given, one is drawn and kept in the data folder, so that nobody else's tokens are good
# here. Production insists on one that was given, and Parlor says so itself.
set -eu
if [ -z "${SECURITY_SECRET_KEY:-}${SECURITY_SECRET_KEY_FILE:-}" ] && [ "${PARLOR_ENV:-}" != production ]; then
    kept=$PARLOR_DATA_DIR/secret
    umask 077
    draft=$(mktemp "$kept.XXXXXX")
    head -c 48 /dev/urandom | base64 >"$draft"
    ln "$draft" "$kept" 2>/dev/null || true # of several at once the first wins
    rm "$draft"
    SECURITY_SECRET_KEY=$(cat "$kept")
    export SECURITY_SECRET_KEY
fi
exec "$@"
