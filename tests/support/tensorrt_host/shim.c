/* TensorRT's Python bindings ask the linker for libnvinfer, libnvinfer_plugin and libnvonnxparser.
 * TensorRT-RTX has the same entry points under other file names, all but this one, for it has no
 * plugin library. Compiled three times, under each of those names, and linked to TensorRT-RTX. */
int initLibNvInferPlugins(void *logger, const char *library_namespace) {
    (void)logger;
    (void)library_namespace;
    return 1;
}
