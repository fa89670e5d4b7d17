"""XLM's model with its own parameters, as a thin class on the encoder that is here.

num_embeddings, d_model, ... --EncoderConfig("modern")--> MaskedLm with an output layer of its own --> logits
"""

from torch import Tensor, nn

from maskgen.train.errors import TrainError
from maskgen.train.models import EncoderConfig, build_masked_lm, encoder_inputs
from maskgen.train.objectives.ready import positions_of


class RotaryTransformerMLMModel(nn.Module):
    """A bidirectional transformer with rotary positions and an untied head; ``masked_lm`` is what is saved.

    Its layers are ModernBERT's: norms before, GEGLU of `dim_feedforward` (by default 4 x `d_model`), no biases, no
    dropout of attention, and rotary positions over the whole of each head, so `rotary_emb_dim` is d_model / nhead.
    """

    def __init__(
        self,
        num_embeddings: int,
        d_model: int,
        num_layers: int,
        nhead: int,
        padding_idx: int = 0,
        mask_idx: int = 1,
        dim_feedforward: int | None = None,
        dropout: float = 0.1,
        activation: str = "gelu",
        layer_norm_eps: float = 1e-5,
        rotary_emb_dim: int | None = None,
        max_length: int = 1024,
        *,
        seed: int = 1234,
    ) -> None:
        super().__init__()
        if activation != "gelu":
            raise TrainError(f"activation is {activation!r}; expected 'gelu', which the encoder gates with; leave it")
        config = EncoderConfig(
            "modern",
            vocab_size=num_embeddings,
            hidden_size=d_model,
            layers=num_layers,
            heads=nhead,
            intermediate_size=4 * d_model if dim_feedforward is None else dim_feedforward,
            max_positions=max_length,
            dropout=dropout,
            norm_eps=layer_norm_eps,
            pad_id=padding_idx,
            tie_embeddings=False,
        )
        if rotary_emb_dim not in (None, config.head_size):
            raise TrainError(
                f"rotary_emb_dim is {rotary_emb_dim}, and heads are of {config.head_size}; expected the same, since "
                "all of a head is turned; leave it out"
            )
        if not 0 <= mask_idx < num_embeddings or mask_idx == padding_idx:
            raise TrainError(
                f"mask_idx is {mask_idx}; expected an id below {num_embeddings} that is not padding_idx, {padding_idx}"
            )
        self.masked_lm = build_masked_lm(config, seed=seed)
        self.mask_idx, self.padding_idx = mask_idx, padding_idx

    def forward(
        self,
        x_t: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, L, V] of tokens [B, L]; positions are by default those among the real tokens of each row."""
        if token_type_ids is not None:
            raise TrainError("token_type_ids for a model without types of tokens; expected none; leave them out")
        batch = {"text": x_t}
        if attention_mask is not None:
            batch |= {"padding_mask": attention_mask, "positions": positions_of(attention_mask)}
        if positions is not None:
            batch["positions"] = positions
        logits: Tensor = self.masked_lm(x_t, **encoder_inputs(batch))
        return logits
