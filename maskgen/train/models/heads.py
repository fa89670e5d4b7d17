"""From hidden states to predictions.

MaskedLmHead       [..., H] -> [..., V]   which token is here; give it the masked places alone
DiscriminatorHead  [..., H] -> [...]      was this token replaced
PairHead           [B, H]   -> [B, 2]     of the first token: are the two parts in the wrong order
"""

from torch import Tensor, nn, tanh, zeros
from torch.nn.functional import gelu, linear

from maskgen.train.models.config import EncoderConfig
from maskgen.train.models.encoders import Encoder, norm


class MaskedLmHead(nn.Module):
    """Dense, gelu, norm, and a decoder that is the encoder's word embedding, plus a bias.

    The embedding is looked up at every call, so the tie holds whatever becomes of it: another weight put in its place,
    another device, shards. With ``tie_embeddings=False`` the decoder has a weight of its own. Where modern embeddings
    are factorised, the decoder is the product of both factors.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        config = encoder.config
        bert = config.architecture == "bert"
        size = config.embedding_size if bert else config.hidden_size
        self.dense = nn.Linear(config.hidden_size, size, bias=bert)
        self.norm = norm(config, size)
        self.bias = nn.Parameter(zeros(config.vocab_size))
        # A tuple, so that the encoder's modules are not the head's a second time.
        self._tied: tuple[nn.Embedding, ...] = ()
        self._projection: tuple[nn.Linear, ...] = ()
        if config.tie_embeddings:
            self._tied = (encoder.word_embeddings,)
            self._projection = (encoder.projection,) if config.factorised and not bert else ()
        else:
            self.decoder = nn.Linear(size, config.vocab_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits of every token of the vocabulary, at each place given."""
        ready = self.norm(gelu(self.dense(hidden)))
        for projection in self._projection:
            ready = linear(ready, projection.weight.t())
        decoder = self._tied[0] if self._tied else self.decoder
        return linear(ready, decoder.weight, self.bias)


class DiscriminatorHead(nn.Module):
    """Dense, gelu (, norm in modern encoders), one number a place: above 0 for a token that was replaced."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        bert = config.architecture == "bert"
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=bert)
        self.norm = nn.Identity() if bert else norm(config, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits without the last dimension of `hidden`."""
        logits: Tensor = self.classifier(self.norm(gelu(self.dense(hidden)))).squeeze(-1)
        return logits


class PairHead(nn.Module):
    """BERT's pooler, and two logits: the parts are in order, they are swapped."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, H] of the first token to [B, 2]."""
        logits: Tensor = self.classifier(tanh(self.pooler(hidden)))
        return logits
