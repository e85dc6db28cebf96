// The console works without scripts; this only makes it quicker.
"use strict";
