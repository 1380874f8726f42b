"""The slow, obvious packing: one token at a time."""


def pack_documents(documents: list[list[int]], ctx_len: int, bos_id: int | None):
    """Contexts as lists of (token, document or None for an inserted BOS, offset in the document)."""
    width = ctx_len - (bos_id is not None)
    contexts = []
    for d, tokens in enumerate(documents):
        for offset in range(0, len(tokens), width):
            context = [] if bos_id is None else [(bos_id, None, None)]
            context += [(token, d, offset + i) for i, token in enumerate(tokens[offset : offset + width])]
            contexts.append(context)
    return contexts


def pack_stream(documents: list[list[int]], ctx_len: int, bos_id: int | None):
    """As pack_documents, but joined: a BOS between documents, full windows, the last one shorter."""
    width = ctx_len - (bos_id is not None)
    stream = []
    for d, tokens in enumerate(documents):
        if tokens and stream and bos_id is not None:
            stream.append((bos_id, None, None))
        stream += [(token, d, i) for i, token in enumerate(tokens)]
    front = [] if bos_id is None else [(bos_id, None, None)]
    return [front + stream[at : at + width] for at in range(0, len(stream), width)]


def lay_into_slots(lengths: list[int], next_slot: int, block_slots: int) -> list[int]:
    """First slot of each context: one that would cross the end of a block waits for the next block."""
    slots = []
    for n in lengths:
        if next_slot // block_slots != (next_slot + n - 1) // block_slots:
            next_slot += block_slots - next_slot % block_slots
        slots.append(next_slot)
        next_slot += n
    return slots


def cut_batches(lengths: list[int], batch_size: int, min_rows: int) -> list[list[int]]:
    """Batches of context numbers, longest first; each but a lonely one has min_rows tokens."""
    order = sorted(range(len(lengths)), key=lambda c: (-lengths[c], c))
    batches: list[list[int]] = []
    while order:
        batch: list[int] = []
        while order and (len(batch) < batch_size or sum(lengths[c] for c in batch) < min_rows):
            batch.append(order.pop(0))
        batches.append(batch)
    if len(batches) > 1 and sum(lengths[c] for c in batches[-1]) < min_rows:
        rest = batches.pop()
        batches[-1] += rest
    return batches
