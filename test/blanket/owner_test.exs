defmodule Blanket.OwnerTest do
  use ExUnit.Case, async: true

  import Blanket.Test.Eventually

  alias Blanket.Table

  @moduletag :capture_log

  defmodule Visits do
    use Blanket, table: {:visits, [:set, :protected]}

    @impl true
    def handle_call({:visit, page}, _from, table),
      do: {:reply, Table.update_counter(table, page, 1, {page, 0}), table}
  end

  defmodule Bare do
    use Blanket, table: :bare
  end

  defmodule Filled do
    use Blanket,
      table: {:filled, [:public]},
      populate: &fill/1,
      transient: true,
      restart: :temporary,
      id: :filler

    @impl GenServer
    def init(arg) do
      {:ok, table} = super(arg)
      {:ok, %{table: table, arg: arg}}
    end

    @impl GenServer
    def handle_call(:state, _from, state), do: {:reply, state, state}

    defp fill(table), do: Table.insert(table, {:a, 1}) && :ok
  end

  defmodule Own do
    use GenServer, restart: :transient, shutdown: 17
    use Blanket, table: {:own, []}

    @impl Blanket
    def get_owner_pid(name), do: Process.whereis(:"#{name} of another name")

    def start_link(arg) do
      {:ok, _heir} = Blanket.new(__MODULE__, :own, {:own, []})
      GenServer.start_link(__MODULE__, arg, name: :"own of another name")
    end
  end

  defmodule Inserting do
    use Blanket, table: {:inserting, []}, populate: &Table.insert(&1, {:a, 1})
  end

  defmodule Failing do
    use Blanket, table: {:failing, []}, populate: fn _table -> {:error, :no_data} end
  end

  defmodule Unkept do
    use Blanket, table: {:unkept, []}

    def start_link(_arg), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)
  end

  defmodule Super do
    use Blanket, table: {:super, []}

    def start_link(arg), do: super(arg)
  end

  defp unique, do: :"#{inspect(__MODULE__)} #{System.unique_integer([:positive])}"

  test "a module of five lines keeps its table when it is killed" do
    name = unique()
    start_supervised!(child([{Visits, name: name}]))
    assert GenServer.call(name, {:visit, "/"}) == 1
    pid = Process.whereis(name)
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
    eventually(fn -> Process.whereis(name) not in [nil, pid] end)
    assert GenServer.call(name, {:visit, "/"}) == 2
  end

  defp child(children) do
    start = {Supervisor, :start_link, [children, [strategy: :one_for_one]]}
    %{id: :supervisor, type: :supervisor, start: start}
  end

  test "is started by the name of the module, or by another" do
    start_supervised!(Bare)
    table = :sys.get_state(Bare)
    assert [name: :bare, type: :set, owner: owner] = info(table, [:name, :type, :owner])
    assert owner == Process.whereis(Bare)

    name = unique()
    start_supervised!({Bare, name: name, more: 1})
    assert Table.info(:sys.get_state(name), :owner) == Process.whereis(name)
    assert {:error, {:already_started, ^owner}} = Bare.start_link()
    assert {:error, {:already_started, ^owner}} = Bare.start_link(:no_options)
  end

  defp info(table, items), do: for(item <- items, do: {item, Table.info(table, item)})

  test "takes the options of new/4, and init/1 is overridden" do
    start_supervised!({Filled, :arg})
    assert %{table: table, arg: :arg} = GenServer.call(Filled, :state)
    assert Table.tab2list(table) == [a: 1]
    stop_supervised!(:filler)
    # The next table is another: the first went with its owner, who was shut down.
    start_supervised!({Filled, name: Filled})
    assert %{table: next} = GenServer.call(Filled, :state)
    assert next != table
    assert Table.info(table) == :undefined
  end

  test "child_spec/1 has the options given to either use" do
    assert Visits.child_spec([]) ==
             %{id: Visits, start: {Visits, :start_link, [[]]}}

    assert %{id: :today} = Visits.child_spec(name: :today)
    assert %{id: :filler, restart: :temporary} = Filled.child_spec([])
    assert %{id: :other, restart: :temporary} = Filled.child_spec(name: :other)
    assert %{id: Own, restart: :transient, shutdown: 17} = Own.child_spec([])
  end

  test "get_owner_pid/1 and start_link/1 are overridden" do
    start_supervised!({Own, []})
    pid = Process.whereis(:"own of another name")
    assert Table.info(:sys.get_state(pid), :owner) == pid
  end

  test "a start_link/1 of its own calls super" do
    pid = start_supervised!(Super)
    assert Table.info(:sys.get_state(Super), :owner) == pid
  end

  test "a start_link/1 that keeps no table is told so at once" do
    assert {:error, {{%ArgumentError{message: message}, _stacktrace}, _child}} =
             start_supervised(Unkept)

    assert message =~ "use Blanket in #{inspect(Unkept)}: the process was started with no table"
    assert message =~ "One of your own starts it by super(arg)"
    assert message =~ "Blanket.new(#{inspect(Unkept)}, name, {:unkept, options})"
  end

  test "populate has to answer :ok, or an error" do
    assert_raise ArgumentError,
                 ~r/Inserting: the function given as :populate .* and answered true/,
                 fn -> Inserting.start_link() end

    assert Failing.start_link() == {:error, :no_data}
    names = Enum.map(Table.all(), &Table.info(&1, :name))
    refute :inserting in names
    refute :failing in names
  end

  test "without options nothing is defined but get_owner_pid/1" do
    defmodule Plain do
      use Blanket
    end

    assert Plain.__info__(:functions) == [get_owner_pid: 1]
  end

  for {options, message} <- [
        {[tabel: :t], ~r/use Blanket in .*: it knows no option :tabel, but \[:table/},
        {[transient: true], ~r/needs the table: table: {name, options}/},
        {:t, ~r/:t is not a list of options/},
        {quote(do: options), ~r/options is not a list of options/}
      ] do
    @options options
    @message message
    test "refuses #{Macro.to_string(options)}" do
      module = Module.concat(__MODULE__, "No#{System.unique_integer([:positive])}")
      definition = {:use, [], [Blanket, @options]}
      quoted = quote(do: defmodule(unquote(module), do: unquote(definition)))
      assert_raise ArgumentError, @message, fn -> Code.eval_quoted(quoted) end
    end
  end
end
