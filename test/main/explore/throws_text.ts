/** A module that cannot be loaded, and has two lines to say about it. */
// oxlint-disable-next-line typescript/only-throw-error -- That is what it is for.
throw "first line\nsecond line";
