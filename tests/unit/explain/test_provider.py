import copy
import json
import pickle
from dataclasses import asdict
from typing import get_args

import pytest

from featlas.errors import InputError
from featlas.explain.provider import KEY_VARIABLES, Provider, ProviderName, Secret, read_provider

KEY = "sk-canary-0123456789abcdef"


def test_every_provider_has_a_variable_for_its_key():
    assert set(KEY_VARIABLES) == set(get_args(ProviderName))


@pytest.mark.parametrize(
    ("name", "url", "host"),
    [
        ("openai", "https://api.openai.com/v1", "api.openai.com"),
        ("anthropic", "https://api.anthropic.com", "api.anthropic.com"),
    ],
)
def test_without_a_base_url_the_official_one_is_asked(name: ProviderName, url: str, host: str):
    provider = read_provider(name, "", {KEY_VARIABLES[name]: f" {KEY}\n"})
    assert (provider.url, provider.host) == (url, host)
    assert provider.key == Secret(KEY)


def test_a_base_url_is_taken_as_it_is_and_the_host_has_its_port():
    provider = read_provider("compatible", " http://localhost:11434/v1 ", {})
    assert (provider.url, provider.host, provider.key) == ("http://localhost:11434/v1", "localhost:11434", None)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "gpu-box_2.lan", "EXAMPLE.org"])
def test_hosts_of_every_kind_are_addresses(host: str):
    assert read_provider("compatible", f"http://{host}", {}).host == host


def test_each_key_comes_from_its_own_variable():
    environ = {variable: f"key-of-{name}" for name, variable in KEY_VARIABLES.items()}
    keys = {name: read_provider(name, "http://localhost/v1", environ).key for name in KEY_VARIABLES}
    assert keys == {name: Secret(f"key-of-{name}") for name in KEY_VARIABLES}


@pytest.mark.parametrize(
    ("name", "base_url", "environ", "words"),
    [
        ("openai", "", {}, "set OPENAI_API_KEY"),
        ("openai", "", {"OPENAI_API_KEY": "  "}, "set OPENAI_API_KEY"),
        ("anthropic", "", {"OPENAI_API_KEY": KEY}, "set ANTHROPIC_API_KEY"),
        ("compatible", "", {}, "set FEATLAS_COMPATIBLE_BASE_URL"),
        ("compatible", "localhost:11434", {}, "FEATLAS_COMPATIBLE_BASE_URL is no address"),
        ("compatible", "ftp://localhost", {}, "no address"),
        ("compatible", "http://", {}, "no address"),
        ("compatible", "http://localhost:port/v1", {}, "no address"),
        ("compatible", "http://user:hunter2@localhost/v1", {}, "no address"),
        ("compatible", "http://localhost/v1?key=hunter2", {}, "no address"),
        ("compatible", "http://localhost/v1#hunter2", {}, "no address"),
        ("compatible", "http://local host/v1", {}, "no address"),
        ("compatible", "http://höst/v1", {}, "no address"),
        ("compatible", "http://a..b/v1", {}, "no address"),
        ("compatible", "http://[::1/v1", {}, "no address"),
        ("openai", "nowhere", {"OPENAI_API_KEY": KEY}, "FEATLAS_OPENAI_BASE_URL is no address"),
        ("lexical", "", {}, "unknown provider 'lexical': expected one of openai, anthropic, compatible"),
        ("openai", "", {"OPENAI_API_KEY": "sk-canary 1"}, "OPENAI_API_KEY: a key is printable ASCII"),
        ("openai", "", {"OPENAI_API_KEY": "sk-canary\n1"}, "OPENAI_API_KEY: a key is printable ASCII"),
        ("openai", "", {"OPENAI_API_KEY": "sk-canäry"}, "OPENAI_API_KEY: a key is printable ASCII"),
    ],
)
def test_what_cannot_be_asked_is_refused(name: str, base_url: str, environ: dict[str, str], words: str):
    with pytest.raises(InputError) as caught:
        read_provider(name, base_url, environ)
    assert words in str(caught.value)
    assert not any(shown in str(caught.value) for shown in ("hunter2", "canary", "canäry"))


@pytest.mark.parametrize("text", [str, repr, "{}".format, "{:>40}".format, "{!r}".format, lambda key: f"{[key]}"])
def test_a_secret_has_no_text(text):
    assert "canary" not in text(Secret(KEY))


@pytest.mark.parametrize("text", [str, repr])
def test_a_provider_does_not_show_its_key(text):
    assert "canary" not in text(read_provider("openai", "", {"OPENAI_API_KEY": KEY}))


def test_a_secret_is_not_written_down():
    provider = read_provider("openai", "", {"OPENAI_API_KEY": KEY})
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        json.dumps(asdict(provider))


def test_a_copied_provider_has_the_same_key():
    provider = read_provider("openai", "", {"OPENAI_API_KEY": KEY})
    assert copy.deepcopy(provider) == copy.copy(provider) == provider
    assert asdict(provider)["key"].reveal() == KEY
    assert provider != Provider("openai", "", Secret(KEY + "x"))
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2


def test_an_empty_secret_is_none():
    with pytest.raises(InputError, match="empty"):
        Secret("")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("", ""),
        ("nothing", "nothing"),
        (KEY, "…"),
        (f"key {KEY}!", "key …!"),
        (KEY + KEY, "…"),
        ("sk-canary-****cdef", "…****cdef"),
        ("x0123456x01234567", "x0123456x…"),
        ("01234567 and cdef and 89abcdef", "… and cdef and …"),
        ("sk-canar", "…"),
        ("sk-cana", "sk-cana"),
    ],
)
def test_every_long_piece_of_a_key_is_hidden(text: str, hidden: str):
    assert Secret(KEY).hide_in(text) == hidden


def test_a_short_key_is_hidden_as_a_whole():
    assert Secret("ollama").hide_in("an ollama, an ollam") == "an …, an ollam"
