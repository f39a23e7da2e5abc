"""Networks for other programs: an ONNX graph, or one file of NumPy that is read as well as run.

::

    onnx_file      a network → the bytes of an ONNX file       (graph, onnx_graph, onnx_side_inputs: its nodes)
    onnx_network   the bytes → a network to score              (run by onnxruntime)
    numpy_file     a network → a program and its weights       (numpy_parts: what it is made of; specialise: how)
    loss           what other weights cost, in bits per character
    target         files that must not be overwritten
"""
