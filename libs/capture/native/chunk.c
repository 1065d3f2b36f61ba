// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include <stdlib.h>
#include <string.h>

bool chunk_begin(struct chunk *chunk)
{
	chunk->data = malloc(CHUNK_HEADROOM + CHUNK_BYTES);
	chunk->used = 0;
	chunk->records = 0;
	return chunk->data != NULL;
}

void chunk_trim(struct chunk *chunk)
{
	uint8_t *smaller = realloc(chunk->data, CHUNK_HEADROOM + chunk->used);

	if (smaller)
		chunk->data = smaller;
}

void *chunk_list_append(struct chunk_list *list, const void *record, size_t size)
{
	struct chunk *last = list->count ? &list->chunks[list->count - 1] : NULL;
	void *place;

	if (!last || last->used + size > CHUNK_BYTES) {
		struct chunk *more = realloc(list->chunks, (list->count + 1) * sizeof(*more));

		if (!more)
			return NULL;
		list->chunks = more;
		last = &more[list->count];
		if (!chunk_begin(last))
			return NULL;
		list->count++;
	}
	place = memcpy(last->data + CHUNK_HEADROOM + last->used, record, size);
	last->used += size;
	last->records++;
	return place;
}

void chunk_list_free(struct chunk_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->chunks[i].data);
	free(list->chunks);
	list->chunks = NULL;
	list->count = 0;
}
