import pytest

from fastcli.errors import ConfigError
from fastcli.registry import Registry


def make():
    registry = Registry("optimizer", given=("params",))

    @registry
    def adam(params, /, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99)):
        return params, lr, betas

    return registry


def test_signature_is_the_schema():
    registry = make()
    assert registry.build("adam", "P", lr="3e-3", betas=[0.9, 0.95]) == ("P", 3e-3, (0.9, 0.95))
    assert registry.check("adam") == {"lr": 1e-3, "betas": (0.9, 0.99)}
    assert "params" not in registry.schema("adam").model_fields


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lrr": 1}, "optimizer 'adam' has no parameter 'lrr'\nhint: did you mean 'lr'?"),
        ({"lr": "high"}, "optimizer 'adam', parameter 'lr'"),
        ({"betas": [0.9]}, "optimizer 'adam', parameter 'betas.1'"),
    ],
)
def test_wrong_parameters_are_config_errors(params, message):
    with pytest.raises(ConfigError) as error:
        make().build("adam", None, **params)
    assert message in str(error.value)


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'adam'"):
        make()["adamm"]


def test_a_second_registration_is_refused():
    registry = make()
    with pytest.raises(ValueError, match="already registered"):

        @registry(name="adam")
        def other(params, /): ...


def test_a_wrong_number_of_given_arguments_is_refused_at_registration():
    with pytest.raises(TypeError, match=r"expected \(params, /, …\)"):

        @make()
        def no_slash(params, lr: float = 1.0): ...


def test_other_peoples_classes_can_be_registered():
    from torchvision.transforms import v2

    registry = Registry("transform")
    registry(v2.RandomRotation)
    built = registry.build("RandomRotation", degrees=10)
    assert built.degrees == [-10.0, 10.0]
