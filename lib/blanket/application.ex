defmodule Blanket.Application do
  @moduledoc false

  use Application

  alias Blanket.Rendezvous

  # How long a caller waits for the application that was running before to come back.
  @restart_time 1_000

  # Nothing here holds what a restart would not bring back: the tables live in the native library,
  # and every heir finds its own again. So there is no number of deaths after which giving up, and
  # taking the application down, would be better than another restart. These bounds stop nothing
  # but a child that can never start.
  @restarts [max_restarts: 1_000_000, max_seconds: 1]

  @impl true
  def start(_type, _args) do
    Rendezvous.open()

    children = [
      {Registry, keys: :unique, name: Blanket.Registry},
      {Registry, keys: :duplicate, name: Blanket.Waiting},
      Blanket.Crier,
      Blanket.Events,
      {DynamicSupervisor, [name: Blanket.Heir.Supervisor] ++ @restarts},
      %{id: :recovery, start: {__MODULE__, :recover, []}},
      {Registry, keys: :unique, name: Blanket.Creating},
      {DynamicSupervisor, [name: Blanket.Inspector.Supervisor] ++ @restarts}
    ]

    Supervisor.start_link(
      children,
      [strategy: :rest_for_one, name: Blanket.Supervisor] ++ @restarts
    )
  end

  # What is on its way to disk gets there.
  @impl true
  def stop(_state), do: Blanket.Native.durable_flush_all()

  @doc false
  # Gives every kept table its heir, whenever the supervisor of the heirs has started.
  def recover do
    for {ref, _table, _data} <- Blanket.Native.kept(), do: Blanket.Heir.start(ref)
    Rendezvous.forget_heirs_of_lost()
    Rendezvous.announce_start()
    :ignore
  end

  @doc """
  Waits until the application is there, if it is being started again.
  """
  @spec await() :: :ok | {:error, {:not_started, :blanket}}
  def await do
    if Process.whereis(Blanket.Supervisor), do: :ok, else: await_start()
  end

  @doc """
  Waits until the supervisor has dealt with what happened to its children.
  """
  @spec await_children() :: :ok | {:error, {:not_started, :blanket}}
  def await_children do
    _children = Supervisor.which_children(Blanket.Supervisor)
    :ok
  catch
    :exit, _ -> await()
  end

  defp await_start do
    if Rendezvous.open?(),
      do: Rendezvous.wait(:start, &await_announcement/1),
      else: {:error, {:not_started, :blanket}}
  end

  # Looks once more: an application that starts from here on announces it.
  defp await_announcement(alias) do
    if Process.whereis(Blanket.Supervisor) do
      :ok
    else
      receive do
        {^alias, :started} -> :ok
      after
        @restart_time -> {:error, {:not_started, :blanket}}
      end
    end
  end
end
