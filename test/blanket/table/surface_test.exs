defmodule Blanket.Table.SurfaceTest do
  use ExUnit.Case, async: true

  alias Blanket.Table

  # What OTP 26 to 29 added to :ets, for older ones.
  @later [
    first_lookup: 1,
    last_lookup: 1,
    lookup_element: 4,
    next_lookup: 2,
    prev_lookup: 2,
    update_element: 4
  ]

  # Exported by :ets for its own use, and not documented.
  @internal [match_spec_run_r: 3, module_info: 0, module_info: 1]

  @ours [
    backup: 2,
    claim: 1,
    compare_and_swap: 3,
    delete_many: 2,
    fetch: 2,
    fetch!: 2,
    flush: 1,
    get: 2,
    get: 3,
    lookup_many: 2,
    release: 1,
    restore: 2,
    snapshot: 1,
    stream: 1,
    stream: 2,
    update: 4,
    verify: 1,
    with_snapshot: 2
  ]

  # They print, and ask.
  @without_example [i: 0, i: 1, i: 2, i: 3]

  defp of_ets do
    exported =
      for {name, _arity} = function <- :ets.module_info(:exports),
          not String.starts_with?(Atom.to_string(name), "internal_"),
          function not in @internal,
          do: function

    Enum.uniq(exported ++ @later)
  end

  test "every function of :ets is there, and nothing else but ours" do
    functions = Table.__info__(:functions)
    assert of_ets() -- functions == []
    assert Enum.sort(functions -- of_ets()) == Enum.sort(@ours)
  end

  test "every function has a specification" do
    {:ok, specs} = Code.Typespec.fetch_specs(Table)
    specified = for {function, _} <- specs, do: function
    assert Table.__info__(:functions) -- specified == []
  end

  test "every function is documented, with an example" do
    {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(Table)

    documented =
      for {{:function, name, arity}, _, _, %{"en" => text}, meta} <- docs,
          text =~ "iex>" or {name, arity} in @without_example,
          arity <- (arity - Map.get(meta, :defaults, 0))..arity,
          do: {name, arity}

    assert Table.__info__(:functions) -- documented == []
  end

  test "every type of table, access and option is taken" do
    for type <- [:set, :ordered_set, :bag, :duplicate_bag],
        access <- [:public, :protected, :private],
        option <- [
          {:keypos, 2},
          {:heir, self(), :data},
          {:heir, self()},
          {:heir, :none},
          {:heir, :immortal},
          {:read_concurrency, true},
          {:write_concurrency, :auto},
          {:decentralized_counters, true},
          :compressed
        ] do
      table = Table.new(:surface, [type, access, option])
      assert Table.info(table, :type) == type
      assert Table.info(table, :protection) == access
      assert Table.delete(table)
    end
  end
end
