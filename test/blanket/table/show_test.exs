defmodule Blanket.Table.ShowTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  alias Blanket.Table

  defp filled(module, count) do
    table = module.new(:shown, [:ordered_set, :public])

    module.insert(
      table,
      for(i <- 1..count, do: {i, :"atom #{i}", String.duplicate("and more ", rem(i, 5))})
    )

    table
  end

  defp shown(module, args, input) do
    # The prompts of :ets are atoms, which a captured device does not take.
    capture_io([input: input, capture_prompt: module == Table], fn ->
      assert apply(module, :i, args) == :ok
    end)
  end

  @sessions [
    "",
    "q\n",
    "c\nc\nq\n",
    "\n\n\n\nq\n",
    "p1\np17\np100\nq\n",
    "pp\np\np0x\nq\n",
    "/atom 1\n\n\nq\n",
    "/5\nq\n",
    "/[\nq\n",
    "what?\nq\n",
    "c\n/77\np1\nq\n"
  ]

  for input <- @sessions do
    test "a session of #{inspect(input)} looks as with :ets" do
      for args <- [[], [10], [10, 40], [3, 200]] do
        assert shown(Table, [filled(Table, 100) | args], unquote(input)) |> without_prompts() ==
                 shown(:ets, [filled(:ets, 100) | args], unquote(input))
      end
    end
  end

  defp without_prompts(text),
    do:
      String.replace(
        text,
        ~r/(EOT |\(c\)ontinue) ?\(q\)uit \(p\)Digits \(k\)ill \/Regexp -->/,
        ""
      )

  test "an empty table shows its end" do
    assert shown(Table, [Table.new(:shown, [])], "q\n") ==
             "EOT  (q)uit (p)Digits (k)ill /Regexp -->"
  end

  test "objects are shown on one line, in letters, and in full when they are asked for" do
    table = Table.new(:shown, [])
    text = String.duplicate("déjà ", 30)
    Table.insert(table, {text})

    [line, full | _] = shown(Table, [table], "p1\nq\n") |> without_prompts() |> String.split("\n")
    assert "<1   > {<<\"" <> cut = line

    assert String.ends_with?(cut, "  ...") and
             String.starts_with?(text, String.trim_trailing(cut, "  ..."))

    assert String.length(line) == 79
    assert full =~ "déjà déjà"
  end

  test "k deletes the table" do
    table = filled(Table, 5)
    shown(Table, [table], "k\n")
    assert Table.info(table) == :undefined
  end

  test "a table may change while it is shown" do
    table = Table.new(:shown, [])
    Table.insert(table, for(i <- 1..100, do: {i}))

    capture_io([input: "c\nq\n"], fn ->
      Table.i(table, 3)
      Table.delete_all_objects(table)
    end)

    assert Table.info(table, :fixed) == false
  end

  test "a table that may not be read, or is not there, is a badarg" do
    assert_raise ArgumentError, fn -> Table.i(:no_such_table) end
  end

  test "all tables have a line, with their names, types, sizes, memory and owners" do
    name = :blanket_shown_among_all
    Table.new(name, [:named_table, :duplicate_bag])
    Table.insert(name, [{1}, {1}])
    orphan = Table.new(:blanket_unnamed, [])

    [head, rule | lines] = shown(Table, [], "") |> String.split("\n", trim: true)
    [ets_head, ets_rule | _] = shown(:ets, [], "") |> String.split("\n", trim: true)
    assert {head, rule} == {ets_head, ets_rule}

    fields = Enum.map(lines, &String.split/1)
    memory = Table.info(name, :memory)

    assert ["#{name}", "#{name}", "duplicate_bag", "2", "#{memory}", inspect_pid(self())] in fields
    assert Enum.any?(fields, &match?(["#Ref" <> _, "blanket_unnamed", "set", "0" | _], &1))
    Table.delete(orphan)
  end

  defp inspect_pid(pid), do: pid |> :erlang.pid_to_list() |> List.to_string()
end
