defmodule Blanket.ErlangTest do
  # The tests that are written in Erlang.
  use ExUnit.Case, async: true

  for source <- Path.wildcard(Path.expand("../erlang/*_tests.erl", __DIR__)) do
    {:ok, module, binary} =
      source |> String.to_charlist() |> :compile.file([:binary, :report, :warnings_as_errors])

    {:module, ^module} = :code.load_binary(module, String.to_charlist(source), binary)

    for {name, 0} <- module.module_info(:exports), String.ends_with?("#{name}", "_test") do
      test "#{module}: #{name |> Atom.to_string() |> String.replace("_", " ")}" do
        apply(unquote(module), unquote(name), [])
      end
    end
  end
end
