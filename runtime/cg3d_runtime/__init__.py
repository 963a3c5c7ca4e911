"""The ground floor of cg3d-sdk: points, bundles, engines and text, with numpy and an engine."""
