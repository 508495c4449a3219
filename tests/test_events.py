import pytest

from fastcli.events import EVENTS, Callback, handlers


def test_a_misspelt_event_fails_when_the_class_is_defined():
    with pytest.raises(TypeError, match="after_bacth is not an event"):

        class Wrong(Callback):
            def after_bacth(self, learner): ...


def test_call_lists_are_ordered_and_unheard_events_are_empty():
    class Late(Callback):
        order = 5

        def before_fit(self, learner): ...

    class Early(Callback):
        order = -5

        def before_fit(self, learner): ...

    lists = handlers([Late(), Early()])
    assert [type(h.__self__).__name__ for h in lists["before_fit"]] == ["Early", "Late"]
    assert lists["after_step"] == []
    assert set(lists) == set(EVENTS)


def test_one_event_may_be_heard_at_another_place():
    class First(Callback):
        orders = {"after_loss": 100}

        def before_fit(self, learner): ...

        def after_loss(self, learner): ...

    class Second(First):
        orders = {}

    lists = handlers([First(), Second()])
    assert [type(h.__self__).__name__ for h in lists["before_fit"]] == ["First", "Second"]
    assert [type(h.__self__).__name__ for h in lists["after_loss"]] == ["Second", "First"]
