/* The allocator of emscripten, for JavaScript to call. */
#include <emscripten.h>
#include <stdlib.h>

EMSCRIPTEN_KEEPALIVE void *peer_malloc(size_t bytes)
{
	return malloc(bytes);
}
EMSCRIPTEN_KEEPALIVE void peer_free(void *object)
{
	free(object);
}
