import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.tasks.thresholds import least_scores

LABELS = Labels(("person", "crane", "crane", "dog"))


def test_a_class_has_its_own_threshold_or_the_one_of_all():
    found = least_scores(LABELS, 0.25, {"dog": 0.5, "person": 0.0})
    assert found.tolist() == [0, 0.25, 0.25, 0.5]
    assert least_scores(LABELS, 0.25).tolist() == [0.25] * 4


def test_classes_of_one_name_get_the_same():
    assert least_scores(LABELS, 0, {"crane": 0.75}).tolist() == [0, 0.75, 0.75, 0]


def test_a_class_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="no class 'presn'") as caught:
        least_scores(LABELS, 0, {"presn": 0.5})
    assert "'person'" in caught.value.hint
