/* Which allocator, and which version of it, this peer has been built with. */
#include <stdio.h>
#include <gnu/libc-version.h>

#include "allocator.h"

#if defined(PEER_JEMALLOC)
#include <jemalloc/jemalloc.h>
#endif

void describe_allocator(char *text, size_t bytes)
{
#if defined(PEER_URCU_MEMB)
	const char *rcu = "liburcu-memb, ";
#elif defined(PEER_URCU_QSBR)
	const char *rcu = "liburcu-qsbr, ";
#else
	const char *rcu = "";
#endif
#if defined(PEER_MIMALLOC)
	int v = mi_version();
	const char *kind = MIMALLOC_STATIC ? "static" : "shared";
	snprintf(text, bytes, "%smimalloc %d.%d.%d (%s)", rcu, v / 100, v / 10 % 10, v % 10, kind);
#elif defined(PEER_JEMALLOC)
	snprintf(text, bytes, "%sjemalloc %d.%d.%d", rcu, JEMALLOC_VERSION_MAJOR, JEMALLOC_VERSION_MINOR,
		 JEMALLOC_VERSION_BUGFIX);
#else
	snprintf(text, bytes, "%sglibc %s", rcu, gnu_get_libc_version());
#endif
}
