defmodule Blanket.Crier do
  @moduledoc false

  # Tells all waiting heirs that somebody is ready. When a thousand owners come back at once, one
  # round serves all who have asked for it so far.

  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc """
  Makes all waiting heirs look who is ready at the rendezvous.
  """
  @spec cry() :: :ok
  def cry do
    send(__MODULE__, :cry)
    :ok
  rescue
    # It is being started again, and the heirs after it, who look then.
    ArgumentError -> :ok
  end

  @impl true
  def init(nil), do: {:ok, nil}

  @impl true
  def handle_info(:cry, state) do
    flush()
    heirs = Registry.select(Blanket.Waiting, [{{:_, :"$1", :_}, [], [:"$1"]}])
    for heir <- heirs, do: send(heir, :look)
    {:noreply, state}
  end

  def handle_info(_message, state), do: {:noreply, state}

  defp flush do
    receive do
      :cry -> flush()
    after
      0 -> :ok
    end
  end
end
