"""Linear probes: logistic regression on frozen vectors, as CLIP's authors probe (Table 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import TrainingError
from cg3d_training.evaluation.accuracy import Accuracy, accuracy

#: Inverse strength of the penalty, and steps of L-BFGS at most: those of the example that CLIP's
#: authors published. Their paper swept the former on a validation split; CG3D's does not say.
STRENGTH, STEPS = 0.316, 1000


def check_probe() -> None:
    """See that scikit-learn is there, before minutes of work.

    Raises:
        DependencyError: it is not; the message has the line that installs it.
    """
    require("sklearn.linear_model", "probe", "A linear probe")


def linear_probe(
    name: str,
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    classes: Sequence[str],
    strength: float = STRENGTH,
) -> Accuracy:
    """Fit a logistic regression to training vectors and count its hits on others.

    Args:
        name: for the table.
        train, test: (n, d) rows; they are used as they are.
        train_labels, test_labels: (n,) numbers of classes.
        classes: names of all of them.
        strength: scikit-learn's C, the inverse of the penalty.

    Raises:
        DependencyError: scikit-learn is not installed.
        TrainingError: there is one class only to train on.
    """
    regression = require("sklearn.linear_model", "probe", "A linear probe").LogisticRegression
    if len(np.unique(train_labels)) < 2:
        raise TrainingError(f"{name}: a probe needs two classes or more to train on")
    model = regression(C=strength, max_iter=STEPS).fit(train, train_labels)
    scores = np.zeros((len(test), len(classes)), np.float64)
    scores[:, model.classes_] = model.predict_proba(test)
    return accuracy(name, scores, test_labels.tolist(), classes)
