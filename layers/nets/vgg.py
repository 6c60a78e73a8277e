"""The networks of Oxford's Visual Geometry Group: 3×3 filters only."""

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import head


def vgg_arg_scope(weight_decay: float = 0.0005) -> dict:
    """Return the arg scope of VGG's networks.

    Parameters
    ----------
    weight_decay : float, default=0.0005
        Scale of the L2 penalty on weights.
    """
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            activation_fn=slim.activation.relu,
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_initializer=slim.zeros_initializer(),
        ),
        slim.arg_scope([slim.conv2d], padding="SAME") as scope,
    ):
        return scope


def _vgg(name: str, repetitions: tuple[int, ...]):
    """A network of so many convolutions of 64, 128, 256, 512 and 512 filters."""

    def network(
        inputs: Tensor,
        num_classes: int | None = 1000,
        is_training: bool | None = None,
        dropout_keep_prob: float = 0.5,
        spatial_squeeze: bool = True,
        scope: str = name,
        fc_conv_padding: str = "VALID",
        global_pool: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Build a VGG network with its fully connected layers as convolutions.

        Parameters
        ----------
        inputs : Tensor
            [B, height, width, channels], 224×224 for classification.
        num_classes : int or None, default=1000
            0 or None: the input of the logits' layer is returned, not dropped out.
        is_training : bool, optional
            By default as the network is being built.
        dropout_keep_prob : float, default=0.5
            Probability of *keeping*.
        spatial_squeeze : bool, default=True
            Return logits [B, num_classes] instead of [B, 1, 1, num_classes].
        scope : str
            The network's name.
        fc_conv_padding : {"VALID", "SAME"}, default="VALID"
            Of the layer ``fc6``; SAME gives a map of logits for larger images.
        global_pool : bool, default=False
            Take the mean over space before the logits, for images of any size.

        Returns
        -------
        net : Tensor
            [B, num_classes], the logits.
        end_points : dict of str to Tensor
            By the layers' scopes.

        References
        ----------
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale
        image recognition", 2015.
        """
        with slim.variable_scope(scope, name) as sc:
            end_points_collection = f"{sc.original_name_scope}_end_points"
            with slim.arg_scope(
                [slim.conv2d, slim.fully_connected, slim.max_pool2d],
                outputs_collections=end_points_collection,
            ):
                net = inputs
                filters = (64, 128, 256, 512, 512)
                for i, (times, n) in enumerate(zip(repetitions, filters), start=1):
                    net = slim.repeat(
                        net, times, slim.conv2d, n, [3, 3], scope=f"conv{i}"
                    )
                    net = slim.max_pool2d(net, [2, 2], scope=f"pool{i}")
                net = slim.conv2d(
                    net, 4096, [7, 7], padding=fc_conv_padding, scope="fc6"
                )
                net = slim.dropout(
                    net, dropout_keep_prob, is_training=is_training, scope="dropout6"
                )
                net = slim.conv2d(net, 4096, [1, 1], scope="fc7")
                return head.classify(
                    net,
                    slim.utils.convert_collection_to_dict(end_points_collection),
                    sc.name,
                    num_classes,
                    is_training,
                    dropout_keep_prob,
                    spatial_squeeze,
                    global_pool,
                )

    network.__module__, network.__name__, network.__qualname__ = __name__, name, name
    network.default_image_size = 224
    return network


vgg_a = _vgg("vgg_a", (1, 1, 2, 2, 2))
vgg_d = vgg_16 = _vgg("vgg_16", (2, 2, 3, 3, 3))
vgg_e = vgg_19 = _vgg("vgg_19", (2, 2, 4, 4, 4))
