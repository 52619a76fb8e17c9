(export "greet" (func $greet))
