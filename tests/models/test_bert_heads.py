"""Tests of BERT's heads for tasks, beside Hugging Face's on the same weights, and of the frozen encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.models.bert import Config
from gdl_jax.models.bert_heads import AnswerFinder, TextClassifier
from gdl_jax.models.bert_weights import from_hugging_face, to_hugging_face

CONFIG = Config(layers=2, heads=2, width=16, hidden_units=24, positions=16, dropout_rate=0.3)
VOCABULARY = 31
NETWORKS = {
    "classifier": TextClassifier(CONFIG, VOCABULARY, outputs=3),
    "answers": AnswerFinder(CONFIG, VOCABULARY),
}


def inputs(length=12):
    """Returns tokens, segments and a mask with padding at the end of two rows."""
    rng = np.random.default_rng(0)
    tokens, segments = rng.integers(0, VOCABULARY, (3, length)), rng.integers(0, 2, (3, length))
    return jnp.asarray(tokens), jnp.asarray(segments), jnp.arange(length) < jnp.array([length, length - 3, 5])[:, None]


def random_params(module, seed=0):
    """Returns large random parameters of a network."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(), train=False))["params"]
    rng = np.random.default_rng(seed)
    return jax.tree_util.tree_map_with_path(
        lambda path, x: (0.3 * rng.normal(size=x.shape) + (path[-1].key == "scale")).astype(np.float32), shapes
    )


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    return NETWORKS[request.param]


def test_logits_equal_hugging_faces(network):
    torch = pytest.importorskip("torch", reason="compares with PyTorch, of the extra [bench]")
    transformers = pytest.importorskip("transformers", reason="compares with Hugging Face's transformers")
    params = random_params(network)
    sizes = transformers.BertConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=2,
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        num_labels=network.outputs,
    )
    of_texts = isinstance(network, TextClassifier)
    theirs = (transformers.BertForSequenceClassification if of_texts else transformers.BertForQuestionAnswering)(sizes)
    state = {name: torch.from_numpy(np.array(array)) for name, array in to_hugging_face(params).items()}
    assert set(theirs.state_dict()) == set(state)
    theirs.load_state_dict(state)
    tokens, segments, mask = (torch.from_numpy(np.array(x)).long() for x in inputs())
    with torch.no_grad():
        found = theirs.eval()(input_ids=tokens, token_type_ids=segments, attention_mask=mask)
    wanted = found.logits if of_texts else torch.stack([found.start_logits, found.end_logits], dim=1)
    ours = np.asarray(network.apply({"params": params}, *inputs(), train=False))
    here = np.ones_like(ours, bool) if of_texts else np.broadcast_to(np.asarray(inputs()[2])[:, None], ours.shape)
    np.testing.assert_allclose(ours[here], wanted.numpy()[here], atol=1e-4)


def test_weights_survive_the_way_there_and_back(network):
    params = random_params(network)
    loaded = from_hugging_face(to_hugging_face(params), random_params(network, 1))
    jax.tree.map(np.testing.assert_array_equal, loaded.params, params)
    assert loaded.lacking == ()


def test_weights_without_the_head_leave_it_out(network):
    params, head = random_params(network), {"classifier", "qa_outputs"}
    without = {name: x for name, x in to_hugging_face(params).items() if name.partition(".")[0] not in head}
    loaded = from_hugging_face(without, params)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, {"bert": params["bert"]})
    assert {name.removesuffix(".") for name in loaded.lacking} == head & params.keys()


def test_a_head_with_other_classes_is_refused():
    params = random_params(NETWORKS["classifier"])
    two = random_params(TextClassifier(CONFIG, VOCABULARY))
    with pytest.raises(UserError, match=r"classifier\.weight"):
        from_hugging_face(to_hugging_face(params), two)


def trained(network, params, key, **changes):
    """Returns the logits in training mode, with the dropout of a key."""
    module = network.clone(**changes)
    return module.apply({"params": params}, *inputs(), train=True, rngs={"dropout": jax.random.key(key)})


def test_a_frozen_encoder_has_neither_gradients_nor_dropout(network):
    params = random_params(network)
    plain = network.apply({"params": params}, *inputs(), train=False)
    assert np.abs(trained(network, params, 0) - plain).max() > 0.1  # all layers drop features
    if isinstance(network, AnswerFinder):
        np.testing.assert_allclose(trained(network, params, 0, frozen=True), plain, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda p: (trained(network, p, 0, frozen=True) ** 2).sum()))(params)
    moved = {jax.tree_util.keystr(path) for path, x in jax.tree_util.tree_leaves_with_path(gradient) if jnp.any(x != 0)}
    head = {"classifier": ("['classifier']", "['bert']['pooler']"), "qa_outputs": ("['qa_outputs']",)}
    of_head = next(starts for name, starts in head.items() if name in params)
    assert moved == {
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
        if jax.tree_util.keystr(path).startswith(of_head)
    }


def test_the_frozen_classifier_drops_features_of_the_pooled_vector_alone():
    network, params = NETWORKS["classifier"], random_params(NETWORKS["classifier"])
    module = network.clone(frozen=True)
    read = jax.vmap(lambda key: module.apply({"params": params}, *inputs(), train=True, rngs={"dropout": key}))
    logits = jax.jit(read)(jax.random.split(jax.random.key(0), 400))
    plain = network.apply({"params": params}, *inputs(), train=False)
    np.testing.assert_allclose(np.mean(logits, axis=0), plain, atol=0.3 * np.abs(plain).max())
    assert np.std(logits, axis=0).min() > 0.05
