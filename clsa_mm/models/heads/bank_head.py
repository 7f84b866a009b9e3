"""What every head that compares queries with a bank has in common."""

from abc import abstractmethod
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from clsa_mm.models.bank import Bank


class BankHead(BaseModule):
    """A loss, or several, of queries by role and the bank that they are compared with.

    Models call the head as a module, so that torch's forward hooks see queries and bank.
    """

    @abstractmethod
    def loss(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> dict[str, Tensor]:
        """Weighted loss terms of one batch.

        Args:
            weak: Unit-length queries of W weak views, each (N, C); may be empty.
            strong: The same of S strong views; may be empty.
            bank: What the queries are compared with.

        Returns:
            Scalars. Those whose name holds ``loss`` are added up; ``chance_level`` is what
            ``loss_contrastive`` is of a model that knows nothing.
        """

    def forward(self, weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank) -> dict[str, Tensor]:
        """See :meth:`loss`."""
        return self.loss(weak, strong, bank)
