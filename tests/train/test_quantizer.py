"""Learning codebooks: the start, the moving averages, the replacement, the gradient."""

import pytest
import torch

from tinyencodec.train.quantizer import DECAY, Codebook, ResidualQuantizer


def clusters(n_clusters, per_cluster, size=8, spread=0.05, seed=0):
    """Vectors around seeded centres: [n_clusters * per_cluster, size] in random order, and the centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_clusters, size, generator=generator)
    rows = centres.repeat(per_cluster, 1) + spread * torch.randn(n_clusters * per_cluster, size, generator=generator)
    return rows[torch.randperm(len(rows), generator=generator)], centres


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def error(codebook, vectors):
    return (vectors - codebook.embed[codebook.nearest(vectors)]).square().mean().item()


def test_nearest_is_nearest():
    book, vectors = Codebook(32, 8), clusters(50, 10)[0]
    book.embed.copy_(clusters(32, 1, seed=1)[1])
    assert torch.equal(book.nearest(vectors), torch.cdist(vectors, book.embed).argmin(dim=1))


def test_kmeans_start():
    vectors, _ = clusters(16, 40)
    book = Codebook(64, 8)
    book.start(vectors, generator(), rounds=0)
    drawn = error(book, vectors)
    book.start(vectors, generator())
    assert error(book, vectors) < drawn
    assert error(book, vectors) < 0.05**2 * 8 / 8  # finer than the clusters are wide
    assert book.inited and len(book.nearest(vectors).unique()) > 50


def test_kmeans_start_with_fewer_vectors_than_entries():
    vectors, _ = clusters(4, 2)
    book = Codebook(32, 8)
    book.start(vectors, generator())
    assert error(book, vectors) < 1e-12


def test_refitting_starts_where_the_entries_are():
    """Entry by entry: what stood near a cluster stands in its middle afterwards, under the same number."""
    vectors, centres = clusters(16, 40)
    book = Codebook(16, 8)
    book.embed.copy_(centres + 0.2 * torch.randn(centres.shape, generator=generator(5)))
    before = error(book, vectors)
    book.refit(vectors, generator())
    assert (book.embed - centres).abs().max() < 0.05
    assert error(book, vectors) < 0.2 * before


def test_refitting_moves_entries_that_nothing_is_near():
    vectors, _ = clusters(16, 40)
    book = Codebook(32, 8)
    book.start(vectors, generator())
    fitted = error(book, vectors)
    book.embed[:20] = 100 + torch.randn(20, 8, generator=generator())
    book.refit(vectors, generator())
    assert error(book, vectors) < 2 * fitted and len(book.nearest(vectors).unique()) > 25


def test_moving_average():
    """One step moves an entry by 1 - DECAY of the way, weighted by use."""
    book = Codebook(2, 1)
    book.embed.copy_(torch.tensor([[0.0], [10.0]]))
    book.adopt()
    vectors = torch.tensor([[1.0], [1.0], [1.0], [9.0]])
    book.learn(vectors, book.nearest(vectors), generator())
    # Entry 0 was chosen by 3 of 4 vectors: 1.5 times its even share.
    count = DECAY * 1 + (1 - DECAY) * 1.5
    assert book.cluster_size[0].item() == pytest.approx(count)
    assert book.embed[0].item() == pytest.approx((DECAY * 0 + (1 - DECAY) * 1.5 * 1) / count)


def test_entries_follow_moving_vectors():
    book = Codebook(16, 8)
    vectors, _ = clusters(16, 20)
    book.start(vectors, generator())
    before = error(book, vectors)
    for step in range(700):
        shifted = vectors + 0.005 * min(step, 200)
        book.learn(shifted, book.nearest(shifted), generator(step))
    assert error(book, shifted) < 1.1 * before < 0.5 * error(book, vectors)


def test_dead_entries_are_replaced():
    book = Codebook(16, 8)
    vectors, _ = clusters(16, 20)
    book.embed.copy_(100 + torch.randn(16, 8, generator=generator()))  # nowhere near
    book.embed[0] = 0
    book.adopt()
    for step in range(1200):
        book.learn(vectors, book.nearest(vectors), generator(step))
    assert len(book.nearest(vectors).unique()) >= 12
    assert book.embed.abs().max() < 10


def test_a_small_batch_does_not_kill_entries():
    """12 vectors per step for 64 entries: each is used once in five steps, and all live."""
    book = Codebook(64, 8)
    vectors, _ = clusters(64, 30)
    book.start(vectors, generator())
    before = book.embed.clone()
    for step in range(300):
        batch = vectors[torch.randperm(len(vectors), generator=generator(step))[:12]]
        book.learn(batch, book.nearest(batch), generator(step))
    moved = (book.embed - before).norm(dim=1)
    assert (moved < 1).float().mean() > 0.9


class TestResidualQuantizer:
    @pytest.fixture
    def started(self):
        quantizer, rows = ResidualQuantizer(4, 16, 8), clusters(100, 10)[0]
        quantizer.start(rows, generator())
        return quantizer, rows.reshape(10, 100, 8).transpose(1, 2)  # [B, D, F]

    def test_each_codebook_leaves_less(self, started):
        quantizer, z = started
        left = [(z - quantizer.quantize(z, n)[0]).square().mean().item() for n in (1, 2, 3, 4)]
        assert all(b < 0.8 * a for a, b in zip(left, left[1:]))

    def test_codes_name_the_entries(self, started):
        quantizer, z = started
        quantized, codes = quantizer.quantize(z, 3)
        assert codes.shape == (10, 3, 100)
        total = sum(book.embed[codes[:, k]] for k, book in enumerate(quantizer.codebooks[:3])).transpose(1, 2)
        assert torch.allclose(total, quantized, atol=1e-5)

    def test_straight_through(self, started):
        quantizer, z = started
        z = z.clone().requires_grad_()
        quantized, _ = quantizer(z, 2)
        assert torch.allclose(quantized, quantizer.quantize(z.detach(), 2)[0], atol=1e-6)
        gradient = torch.randn(z.shape, generator=generator())
        quantized.backward(gradient)
        assert torch.equal(z.grad, gradient)

    def test_commitment_pulls_towards_the_entries(self, started):
        quantizer, z = started
        z = z.clone().requires_grad_()
        _, commitment = quantizer(z, 2)
        commitment.backward()
        closer = z.detach() - 100 * z.grad
        assert quantizer(closer, 2)[1] < commitment

    def test_learns_only_when_asked_and_only_what_is_used(self, started):
        quantizer, z = started
        before = [book.embed.clone() for book in quantizer.codebooks]
        quantizer(z, 4)
        assert all(torch.equal(book.embed, old) for book, old in zip(quantizer.codebooks, before))
        quantizer(z, 2, generator())
        same = [torch.equal(book.embed, old) for book, old in zip(quantizer.codebooks, before)]
        assert same == [False, False, True, True]


class TestSearch:
    def left(self, quantizer, z, width):
        quantized, codes = quantizer.search(z, 4, width)
        decoded = sum(book.embed[codes[:, number]] for number, book in enumerate(quantizer.codebooks[:4]))
        assert torch.allclose(decoded.transpose(1, 2), quantized, atol=1e-6)
        return (z - quantized).square().sum(dim=1)

    def quantizer(self):
        quantizer = ResidualQuantizer(4, 8, 3)
        rng = torch.Generator().manual_seed(0)
        quantizer.start(torch.randn(200, 3, generator=rng), rng)
        return quantizer, torch.randn(2, 3, 300, generator=rng)

    def test_one_choice_is_the_nearest_entry(self):
        quantizer, z = self.quantizer()
        for found, expected in zip(quantizer.search(z, 3, 1), quantizer.quantize(z, 3)):
            assert found.shape == expected.shape and torch.allclose(found.float(), expected.float(), atol=1e-5)

    def test_more_choices_leave_less_and_all_leave_least(self):
        quantizer, z = self.quantizer()
        means = [self.left(quantizer, z, width).mean() for width in (1, 2, 4, 16)]
        assert means == sorted(means, reverse=True) and means[2] < 0.95 * means[0]
        every = torch.cartesian_prod(*[torch.arange(8)] * 4)
        sums = sum(book.embed[every[:, number]] for number, book in enumerate(quantizer.codebooks))
        least = torch.cdist(z.transpose(1, 2).flatten(0, 1), sums).square().min(dim=1).values
        assert torch.allclose(self.left(quantizer, z, 8**3).flatten(), least, atol=1e-4)
