defmodule Blanket.GuidesTest do
  # Runs the blocks of the README and the guides that stand below `<!-- run -->`, those of a file one after
  # the other. What is followed by `#=> value` has to answer this value.
  use ExUnit.Case, async: false

  # The guide defines it.
  @compile {:no_warn_undefined, Sessions}

  import ExUnit.CaptureIO
  import Blanket.Test.Eventually

  alias Blanket.Table

  @moduletag :capture_log

  setup do
    # A guide shows a module before and after.
    conflicts = Code.get_compiler_option(:ignore_module_conflict)
    Code.put_compiler_option(:ignore_module_conflict, true)
    before = Table.all()

    on_exit(fn ->
      Code.put_compiler_option(:ignore_module_conflict, conflicts)
      for table <- Table.all() -- before, do: delete_orphan(table)
    end)
  end

  defp delete_orphan(table) do
    with {:ok, _table} <- Table.claim(table), do: Table.delete(table)
  end

  defp blocks(file) do
    [_ | parts] = file |> File.read!() |> String.split("<!-- run -->\n")

    for part <- parts do
      assert ["", "elixir\n" <> code | _] = String.split(part, "```")
      code
    end
  end

  # Answers the variables.
  defp run(blocks) do
    for block <- blocks, [code, expected] <- steps(block), reduce: [] do
      variables ->
        {value, variables} = Code.eval_string(code, variables)
        unless expected == "", do: assert({code, value} == {code, value_of(expected)})
        variables
    end
  end

  # The code up to each expectation, with the expectation; behind the last there is none.
  defp steps(block),
    do: Regex.scan(~r/(.+?)(?:^#=> (.+?)\n|(\z))/ms, block, capture: [1, 2])

  defp value_of(code), do: code |> Code.eval_string() |> elem(0)

  # Waits for the next owner to be through its init/1.
  defp kill(name) do
    owner = Process.whereis(name)
    Process.exit(owner, :kill)
    eventually(fn -> Process.whereis(name) not in [nil, owner] end)
    :sys.get_state(name)
  end

  test "README" do
    [_, _, _] = blocks = blocks("README.md")
    assert capture_io(fn -> run(blocks) end) == ~s([{1, "Ada"}]\n)
    start_supervised!(MyApp.Cache)
    assert Table.insert(:cache, {1, "Ada"})
    {:dictionary, owner} = :top |> Process.whereis() |> Process.info(:dictionary)
    Supervisor.stop(hd(owner[:"$ancestors"]))
  end

  test "Keeping a table" do
    variables = run(blocks("guides/keeping-a-table.md"))

    for owner <- [Shop.Visits, Shop.Stock, Shop.Orders], do: kill(owner)
    assert GenServer.call(Shop.Visits, {:visit, "/"}) == 2
    assert Table.lookup(:stock, :apple) == [apple: 12]
    assert GenServer.call(Shop.Orders, {:order, 2, :pear, 1}) == 4
    assert Table.info(:sys.get_state(Shop.Orders).orders, :size) == 2

    assert GenServer.call(variables[:ada], :check_out) == [pear: 1]
    gone = {:basket, "Ada"}
    assert Blanket.claim_table(gone) == {:error, {:table_not_found, gone}}

    eventually(fn -> not Enum.any?(Table.all(), &(Table.info(&1, :name) == :lines)) end)
    Supervisor.stop(variables[:supervisor])
  end

  test "Snapshots and transactions" do
    run(blocks("guides/snapshots-and-transactions.md"))
  end

  test "More than one machine" do
    run(blocks("guides/more-than-one-machine.md"))
    assert :mnesia.stop() == :stopped
  end

  test "Moving from ETS" do
    [before, afterwards | others] = blocks("guides/moving-from-ets.md")
    sessions = Sessions

    for {module, kept} <- [{before, nil}, {afterwards, "Ada"}] do
      run([module])
      start_supervised!(sessions)
      assert sessions.put(1, "Ada") == :ok
      assert sessions.get(1) == "Ada"
      assert sessions.get(2) == nil
      kill(sessions)
      assert sessions.get(1) == kept
      stop_supervised!(sessions)
    end

    run(others)
    start_supervised!(Sessions.Counted)
    assert %{found: 0} = :sys.get_state(Sessions.Counted)
    start_supervised!(Sessions.Limits)
    assert Table.lookup_element(:limits, :member, 2) == 5
  end
end
