defmodule Blanket.DocumentationTest do
  # Every public function of every public module has a @doc and a @spec, every callback and type a text.
  # Implementations of protocols are described by the protocol.
  use ExUnit.Case, async: true

  {:ok, modules} = :application.get_key(:blanket, :modules)

  @documented for module <- modules,
                  {:docs_v1, _, :elixir, _, text, _, entries} <- [Code.fetch_docs(module)],
                  text != :hidden,
                  not function_exported?(Code.ensure_loaded!(module), :__impl__, 1),
                  do: {module, text, entries}

  test "there are modules to look at" do
    modules = for {module, _text, _entries} <- @documented, do: module

    for public <- [Blanket, Blanket.Table, Blanket.Inspector, Blanket.Inspector.TableInfo],
        do: assert(public in modules)

    refute Blanket.Native in modules
  end

  for {module, text, entries} <- @documented do
    @module module
    @text text
    @entries Macro.escape(entries)

    test "#{inspect(module)} has a @moduledoc, and all that is public in it a text" do
      assert %{"en" => _} = @text
      assert for({{_, _, _} = entry, _, _, :none, _} <- @entries, do: entry) == []
    end

    test "#{inspect(module)} has a @spec for each of its functions" do
      {:ok, specs} = Code.Typespec.fetch_specs(@module)
      specified = for {function, _} <- specs, do: function

      functions = for {{:function, name, arity}, _, _, %{}, _} <- @entries, do: {name, arity}

      assert functions -- specified == []
    end
  end
end
