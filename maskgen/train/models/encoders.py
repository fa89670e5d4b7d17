"""The encoder: embeddings, layers of one of two kinds, hidden states.

    bert     tokens + positions + types --norm, dropout(, projection)--> post-norm layers               --> hidden
    modern   tokens (--projection) --norm, dropout--> pre-norm layers, rotary positions --final norm--> hidden

The first computes what Hugging Face's BertModel and ElectraModel compute, the second what its ModernBertModel does with
attention to all places in every layer.
"""

from torch import Tensor, arange, nn
from torch.nn.functional import gelu

from maskgen.train.errors import TrainError
from maskgen.train.models.attention import Flat, Layout, Rotation, Rows, SelfAttention, rotation, row_mask, takes_flat
from maskgen.train.models.config import EncoderConfig
from maskgen.train.models.inputs import document_positions


def norm(config: EncoderConfig, size: int) -> nn.LayerNorm:
    """A layer norm as the architecture has it: modern ones are without biases."""
    return nn.LayerNorm(size, eps=config.norm_eps, bias=config.architecture == "bert")


class PostNormLayer(nn.Module):
    """BERT's: x = norm(x + attention(x)), x = norm(x + down(gelu(up(x))))."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config, bias=True)
        self.attention_norm = norm(config, config.hidden_size)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)
        self.mlp_norm = norm(config, config.hidden_size)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, layout: Layout, _turned: Rotation | None = None) -> Tensor:
        """[..., H] to [..., H]."""
        hidden = self.attention_norm(hidden + self.drop(self.attention(hidden, layout)))
        result: Tensor = self.mlp_norm(hidden + self.drop(self.down(gelu(self.up(hidden)))))
        return result


class PreNormLayer(nn.Module):
    """ModernBERT's: x = x + attention(norm(x)), x = x + down(gelu(a) * b) with (a, b) = up(norm(x))."""

    def __init__(self, config: EncoderConfig, *, first: bool) -> None:
        super().__init__()
        # What comes out of the embeddings is normalised already.
        self.attention_norm = nn.Identity() if first else norm(config, config.hidden_size)
        self.attention = SelfAttention(config, bias=False)
        self.mlp_norm = norm(config, config.hidden_size)
        self.up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, layout: Layout, turned: Rotation | None = None) -> Tensor:
        """[..., H] to [..., H]."""
        hidden = hidden + self.attention(self.attention_norm(hidden), layout, turned)
        value, gate = self.up(self.mlp_norm(hidden)).chunk(2, dim=-1)
        result: Tensor = hidden + self.down(self.drop(gelu(value) * gate))
        return result


class Encoder(nn.Module):
    """Tokens [B, L] to hidden states [B, L, hidden_size]. `config` says which; `layers` are the layers."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        bert = config.architecture == "bert"
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        if bert:
            self.position_embeddings = nn.Embedding(config.max_positions, config.embedding_size)
        if bert and config.type_vocab_size:
            self.type_embeddings = nn.Embedding(config.type_vocab_size, config.embedding_size)
        self.embedding_norm = norm(config, config.embedding_size if bert else config.hidden_size)
        self.drop = nn.Dropout(config.dropout)
        if config.factorised:
            self.projection = nn.Linear(config.embedding_size, config.hidden_size, bias=bert)
        self.layers = nn.ModuleList(
            PostNormLayer(config) if bert else PreNormLayer(config, first=not number) for number in range(config.layers)
        )
        self.final_norm = nn.Identity() if bert else norm(config, config.hidden_size)

    def forward(
        self,
        tokens: Tensor,
        *,
        padding_mask: Tensor | None = None,
        token_types: Tensor | None = None,
        positions: Tensor | None = None,
        document_ids: Tensor | None = None,
        unpadded: Tensor | None = None,
        boundaries: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [B, L, H]. All but the tokens is what encoder_inputs gives.

        Padding (0 in `padding_mask`, -1 in `document_ids`) is never attended, and no token attends to another
        document. `unpadded` and `boundaries` are a faster way to say the same to a modern encoder on CUDA: hidden
        states of padding are 0 then. Modern encoders have no token types and pass over them.
        """
        if tokens.shape[1] > self.config.max_positions:
            raise TrainError(
                f"rows of {tokens.shape[1]} tokens for an encoder of {self.config.max_positions} positions; expected "
                "rows that are no longer; shorten them, or make the encoder with more max_positions"
            )
        if positions is None:
            positions = (
                arange(tokens.shape[1], device=tokens.device)[None]
                if document_ids is None
                else document_positions(document_ids)
            )
        if self.config.architecture == "modern":
            places = unpadded if takes_flat(tokens, self.word_embeddings.weight) else None
            # Without any token there is no document for the kernel.
            if places is not None and boundaries is not None and len(places) > 0:
                return self._flat(tokens, positions, places, boundaries)
            return self._modern(tokens, positions, Rows(row_mask(padding_mask, document_ids)))
        return self._bert(tokens, positions, token_types, Rows(row_mask(padding_mask, document_ids)))

    def _bert(self, tokens: Tensor, positions: Tensor, types: Tensor | None, layout: Layout) -> Tensor:
        embedded = self.word_embeddings(tokens) + self.position_embeddings(positions)
        if self.config.type_vocab_size:
            embedded = embedded + (self.type_embeddings.weight[0] if types is None else self.type_embeddings(types))
        hidden: Tensor = self.drop(self.embedding_norm(embedded))
        if self.config.factorised:
            hidden = self.projection(hidden)
        for layer in self.layers:
            hidden = layer(hidden, layout)
        return hidden

    def _modern(self, tokens: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        hidden = self.word_embeddings(tokens)
        if self.config.factorised:
            hidden = self.projection(hidden)
        hidden = self.drop(self.embedding_norm(hidden))
        turned = rotation(positions, self.config.head_size, self.config.rotary_base)
        for layer in self.layers:
            hidden = layer(hidden, layout, turned)
        result: Tensor = self.final_norm(hidden)
        return result

    def _flat(self, tokens: Tensor, positions: Tensor, unpadded: Tensor, boundaries: Tensor) -> Tensor:
        """Gather real tokens once, compute for them alone, scatter once."""
        chosen = tokens.flatten()[unpadded]
        places = positions.expand_as(tokens).flatten()[unpadded]
        hidden = self._modern(chosen, places, Flat(boundaries, tokens.shape[1]))
        whole = hidden.new_zeros(tokens.numel(), hidden.shape[-1])
        return whole.index_copy(0, unpadded, hidden).view(*tokens.shape, -1)
